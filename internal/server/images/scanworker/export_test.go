package scanworker

// EnterSandbox gives up the rights of this process.
func EnterSandbox() error { return enterSandbox() }
