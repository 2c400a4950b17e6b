package subprocess

import "os"

// forwarded is the one signal that Windows has; its console gives it to every
// program that is attached, and so it is only kept from ending this one.
var forwarded = []os.Signal{os.Interrupt}

func sentByTerminal(os.Signal) bool { return true }

func signalOf(*os.ProcessState) (int, bool) { return 0, false }
