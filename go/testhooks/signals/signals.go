// Package signals exports functions that make Go take signals, as os/signal lets any program do.
package signals

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

const last = 64 // the highest signal there is

var (
	events   = make(chan os.Signal, last)
	received [last + 1]atomic.Int32
	start    sync.Once
)

// TakeSignals makes Go take 0 every signal or 1 one signal, 2 ignore a signal, 3 stop its
// notifications, or 4 reset all signals to how Go found them. Returns 0.
//
//export TakeSignals
func TakeSignals(how, number int32) int32 {
	start.Do(func() { go count() })
	switch how {
	case 0:
		signal.Notify(events)
	case 1:
		signal.Notify(events, syscall.Signal(number))
	case 2:
		signal.Ignore(syscall.Signal(number))
	case 3:
		signal.Stop(events)
	default:
		signal.Reset()
	}
	return 0
}

// SignalsReceived returns how often Go received a signal.
//
//export SignalsReceived
func SignalsReceived(number int32) int32 {
	if number < 1 || number > last {
		return 0
	}
	return received[number].Load()
}

func count() {
	for event := range events {
		if number, ok := event.(syscall.Signal); ok && number >= 1 && number <= last {
			received[number].Add(1)
		}
	}
}
