package formats

import (
	"fmt"
	"net/http"
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
