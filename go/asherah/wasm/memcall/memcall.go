// Package memcall replaces the module of that name in WebAssembly, which cannot lock or protect
// memory. It returns plain memory, and wipes it when it is freed.
package memcall

// MemoryProtectionFlag is the allowed use of memory. Nothing enforces it here.
type MemoryProtectionFlag struct{ allowed byte }

// NoAccess is for memory that nobody may use.
func NoAccess() MemoryProtectionFlag { return MemoryProtectionFlag{0} }

// ReadOnly is for memory that nobody may change.
func ReadOnly() MemoryProtectionFlag { return MemoryProtectionFlag{1} }

// ReadWrite is for all other memory.
func ReadWrite() MemoryProtectionFlag { return MemoryProtectionFlag{2} }

// Alloc returns memory.
func Alloc(n int) ([]byte, error) { return make([]byte, n), nil }

// Free wipes memory.
func Free(memory []byte) error {
	clear(memory)
	return nil
}

// Lock does nothing.
func Lock([]byte) error { return nil }

// Unlock does nothing.
func Unlock([]byte) error { return nil }

// Protect does nothing.
func Protect([]byte, MemoryProtectionFlag) error { return nil }

// DisableCoreDumps does nothing.
func DisableCoreDumps() error { return nil }
