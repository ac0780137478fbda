//! The racers: textbook sorting, but for a `suspend` after each step, at whatever depth of calls that happens.

use kfiber::fiber::Yielder;

/// How many numbers are sorted.
pub(crate) const COUNT: usize = 48;
/// The numbers, as they stand after a step.
pub(crate) type Row = [u8; COUNT];
/// What a racer calls to let the others run.
pub(crate) type Pace = Yielder<(), Row>;

/// A way to sort.
type Sort = fn(&mut Row, &Pace);

/// The racers, by name.
pub(crate) const RACERS: [(&str, Sort); 6] = [
    ("bubble", bubble),
    ("insertion", insertion),
    ("selection", selection),
    ("heap", heap),
    ("merge, recursive", |row, pace| merge(row, 0, COUNT, pace)),
    ("quick, recursive", |row, pace| quick(row, 0, COUNT, pace)),
];

fn swap(row: &mut Row, a: usize, b: usize, pace: &Pace) {
    row.swap(a, b);
    pace.suspend(*row);
}

fn bubble(row: &mut Row, pace: &Pace) {
    for end in (1..COUNT).rev() {
        for i in 0..end {
            if row[i] > row[i + 1] {
                swap(row, i, i + 1, pace);
            }
        }
    }
}

fn insertion(row: &mut Row, pace: &Pace) {
    for end in 1..COUNT {
        let mut i = end;
        while i > 0 && row[i - 1] > row[i] {
            swap(row, i - 1, i, pace);
            i -= 1;
        }
    }
}

fn selection(row: &mut Row, pace: &Pace) {
    for start in 0..COUNT {
        let smallest = (start..COUNT).min_by_key(|&i| row[i]).unwrap_or(start);
        swap(row, start, smallest, pace);
    }
}

fn heap(row: &mut Row, pace: &Pace) {
    for root in (0..COUNT / 2).rev() {
        sift_down(row, root, COUNT, pace);
    }
    for end in (1..COUNT).rev() {
        swap(row, 0, end, pace);
        sift_down(row, 0, end, pace);
    }
}

fn sift_down(row: &mut Row, mut root: usize, end: usize, pace: &Pace) {
    while 2 * root + 1 < end {
        let left = 2 * root + 1;
        let right = (left + 1).min(end - 1);
        let child = if row[right] > row[left] { right } else { left };
        if row[root] >= row[child] {
            return;
        }
        swap(row, root, child, pace);
        root = child;
    }
}

fn merge(row: &mut Row, start: usize, end: usize, pace: &Pace) {
    if end - start < 2 {
        return;
    }
    let middle = usize::midpoint(start, end);
    merge(row, start, middle, pace);
    merge(row, middle, end, pace);
    let (sorted, mut left, mut right) = (*row, start, middle);
    for place in &mut row[start..end] {
        let from_left = right == end || left < middle && sorted[left] <= sorted[right];
        let next = if from_left { &mut left } else { &mut right };
        *place = sorted[*next];
        *next += 1;
    }
    pace.suspend(*row);
}

fn quick(row: &mut Row, start: usize, end: usize, pace: &Pace) {
    if end - start < 2 {
        return;
    }
    let (pivot, mut middle) = (row[end - 1], start);
    for i in start..end {
        if row[i] < pivot {
            swap(row, i, middle, pace);
            middle += 1;
        }
    }
    swap(row, middle, end - 1, pace);
    quick(row, start, middle, pace);
    quick(row, middle + 1, end, pace);
}
