//! Small kernels to copy from, each run as a test. The large one is the demo.

mod deadline;
mod ping_pong;
mod pipeline;

tests_qemu::kernel_test! {
    fn two_fibers_play_ping_pong() {
        assert_eq!(ping_pong::run(1000), 1000);
    }

    fn numbers_flow_through_a_pipeline() {
        assert_eq!(pipeline::run(), 1 + 4 + 9 + 16 + 25);
    }

    fn a_request_that_takes_too_long_is_given_up() icount {
        assert_eq!(deadline::run(), (Some("quick"), None));
    }
}
