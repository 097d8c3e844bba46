package main

// void warmup_guard(void);
import "C"

// installGuard keeps the runtime's suspend handler working next to Go (native/guard), unless the
// environment has GO_WARMUP_GUARD=0.
func installGuard() { C.warmup_guard() }
