package advisories

// Orders are the orders of versions that are our own.
func Orders() []func(a, b string) int { return []func(a, b string) int{compareDpkg, compareApk} }
