//! Makes a disk with the loader and a kernel. A program of the host: the words are the kernel's file and the disk's.

use std::path::Path;

fn main() {
    let words: Vec<_> = std::env::args().collect();
    let [_, kernel, disk] = &*words else {
        panic!("say: the kernel's file, the disk's file");
    };
    let loader = bootloader::UefiBoot::new(Path::new(kernel));
    loader
        .create_disk_image(Path::new(disk))
        .expect("the disk can be written");
}
