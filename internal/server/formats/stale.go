package formats

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// noteStale tells the client that an answer was made without an external registry, which
// fails now, in the header Cache-Status (RFC 9211). A negative ttl is how old the
// registry's last answer is, in seconds. Without ttl there is none, and the answer has
// only what is kept here.
func noteStale(h http.Header, n packages.StaleNotice) {
	age := ""
	if n.Age > 0 {
		age = fmt.Sprintf("; ttl=-%d", max(n.Age/time.Second, 1))
	}
	h.Set("Cache-Status", fmt.Sprintf(`gatehouse; hit%s; detail="%s does not answer"`, age, HeaderLine(n.Connection)))
}

// maxHidden is how many hidden versions a header names.
const maxHidden = 3

// noteHidden tells the client which versions admission left out of the answer, the last
// ones first.
func noteHidden(h http.Header, n packages.HiddenNotice) {
	var texts []string
	for i := range min(len(n.Versions), maxHidden) {
		texts = append(texts, n.Versions[len(n.Versions)-1-i].String())
	}
	if more := len(n.Versions) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	h.Set("Gatehouse-Hidden-Versions", HeaderLine(fmt.Sprintf("Hidden versions of the %s: %s", n.Package, strings.Join(texts, "; "))))
}
