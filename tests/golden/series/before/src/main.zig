pub fn main() void {
    setup();
    run();
}
