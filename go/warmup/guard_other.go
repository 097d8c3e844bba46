//go:build !linux

package main

// Elsewhere JavaScriptCore suspends no thread by a signal.
func installGuard() {}
