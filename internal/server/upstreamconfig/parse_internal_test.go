package upstreamconfig

import "testing"

// No file of a client, however broken, ends the server.
func FuzzParsers(f *testing.F) {
	for _, text := range []string{
		"registry=https://a", "[global]\nindex-url: x", "[source.crates-io]\nreplace-with='m'\n[source.m]\nregistry='sparse+x'",
		"<settings><mirrors><mirror><mirrorOf>*,!a</mirrorOf><url>x</url></mirror></mirrors></settings>",
		"<c><packageSources><add key='a' value='https://b'/></packageSources></c>", ":sources:\n- https://a", "- a", "a: &a [*a]", "[=", "[", "=", "]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = iniValue(text, "", func(string) bool { return true })
		_, _ = cargoReplacement(text)
		_, _ = mavenMirror(text, "central")
		_, _ = nugetSource(text)
		_, _ = gemSource(text)
	})
}
