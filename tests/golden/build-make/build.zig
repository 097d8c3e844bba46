// The build of the small upstream needs no Zig code; a checkout of this era has the file.
