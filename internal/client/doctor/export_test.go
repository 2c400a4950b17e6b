package doctor

// TokensIn are the passwords of the tokens that a text holds.
func TokensIn(text []byte) []string {
	var found []string
	for _, t := range findTokens(text) {
		found = append(found, t.password)
	}
	return found
}

// Redact is what findings are written with.
func Redact(text string) string { return withoutTokens(text) }

// WithoutPassword is how an address is shown.
func WithoutPassword(address string) string { return withoutPassword(address) }
