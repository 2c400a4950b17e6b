package redact

import (
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// secretMark replaces a secret of a configuration file.
const secretMark = "****"

// secretPlaces are where the configuration files of package clients have their
// secrets. The second group is the secret.
var secretPlaces = []*lazyregexp.Regexp{
	// key=value and key: value, as in .npmrc, pip.conf, TOML, YAML and JSON
	lazyregexp.New(`(?i)((?:_?auth|_?authtoken|_?password|passwd|passphrase|secret|token|api[-_]?key)["']?[ \t]*[=:][ \t]*["']?)([^\s"',}$][^\s"',}]*)`),
	// elements of Maven's settings.xml
	lazyregexp.New(`(?i)(<(?:password|passphrase|privatekey|token|apikey|cleartextpassword)>)([^<$][^<]*)`),
	// attributes of NuGet.Config
	lazyregexp.New(`(?i)(key="[^"]*(?:password|apikey)[^"]*"[ \t]+value=")([^"%$][^"]*)`),
	// .netrc
	lazyregexp.New(`(?i)(\bpassword[ \t]+)([^\s=:"'$]\S+)`),
	// addresses with a user and a password
	lazyregexp.New(`(://[^/\s:@"']*:)([^@\s/"'$]+)@`),
}

// longWords are runs of the characters that tokens consist of.
var longWords = lazyregexp.New(`[A-Za-z0-9_+-]{32,}`)

// notSecrets are values that stand in the place of a secret and are none.
var notSecrets = []string{"true", "false", "null", "none"}

// Config returns the text of a configuration file, or of a diff of one, with ****
// in place of its secrets: the known ones, whatever stands where such files have
// secrets, and every word that looks random. A reference to an environment
// variable stays. It hides too much rather than too little.
func Config(text string, known ...string) string {
	for _, secret := range known {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, secretMark)
		}
	}
	for _, place := range secretPlaces {
		text = place.ReplaceAllStringFunc(text, func(found string) string {
			parts := place.FindStringSubmatch(found)
			if slices.Contains(notSecrets, strings.ToLower(parts[2])) {
				return found
			}
			return parts[1] + secretMark + found[len(parts[1])+len(parts[2]):]
		})
	}
	return longWords.ReplaceAllStringFunc(text, func(word string) string {
		if strings.ContainsFunc(word, isDigit) && strings.ContainsFunc(word, isUpper) && strings.ContainsFunc(word, isLower) {
			return secretMark
		}
		return word
	})
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }
func isLower(r rune) bool { return 'a' <= r && r <= 'z' }
