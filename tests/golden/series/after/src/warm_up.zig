pub fn warmUp() void {}
