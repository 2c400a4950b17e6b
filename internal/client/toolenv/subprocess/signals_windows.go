package subprocess

import "os"

// forwarded is the only signal of Windows. The console sends it to every attached
// program, so it only has to be kept from ending this one.
var forwarded = []os.Signal{os.Interrupt}

func sentByTerminal(os.Signal) bool { return true }

func signalOf(*os.ProcessState) (int, bool) { return 0, false }
