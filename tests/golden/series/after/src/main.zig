pub fn main() void {
    setup();
    warmUp();
    run();
}
