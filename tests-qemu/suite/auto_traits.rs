//! The public types that only a bare machine has are `Send` and `Sync` as their table says: `tests/auto_traits/bare.rs`.

#[path = "../../tests/auto_traits/bare.rs"]
mod bare;
#[path = "../../tests/auto_traits/row.rs"]
mod row;

use tests_qemu::{kernel_test, println};

kernel_test! {
    fn every_type_of_the_bare_machine_is_send_and_sync_as_its_row_says() {
        let mut complaints = 0;
        for row in bare::ROWS {
            row.check(|name, kind, has_it| {
                println!("`{}`, where T is {kind}: {name} is {has_it}, and should be {}", row.text, !has_it);
                complaints += 1;
            });
        }
        assert_eq!(complaints, 0);
    }
}
