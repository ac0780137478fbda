//! Work on several things at a time, one for each processor.

use std::sync::Mutex;
use std::thread;

/// What `work` makes of each item, in the order of the items, which are begun in this order.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(items.into_iter().enumerate());
    let next = || left.lock().expect("nothing panics while it is held").next();
    let worker = || {
        let mut results = Vec::new();
        while let Some((index, item)) = next() {
            results.push((index, work(item)));
        }
        results
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().expect("a worker does not panic")
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_are_in_the_order_of_their_items_whichever_ends_first() {
        let items: Vec<u64> = (0..200).collect();
        let work = |item: u64| {
            (0..item % 7 * 100).for_each(|_| std::thread::yield_now());
            item * 3
        };
        let expected: Vec<u64> = (0..200).map(|item| item * 3).collect();
        assert_eq!(map(items, work), expected);
    }
}
