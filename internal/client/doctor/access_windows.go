package doctor

// writable reports whether files can be made in a folder. What Windows's access
// lists come to is only known by making one, which a check does not do.
func writable(string) bool { return true }
