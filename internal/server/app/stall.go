package app

import (
	"io"
	"net/http"
	"time"
)

// bodyIdle is how long a body may pause. A body as a whole may take as long as
// it takes: layers are large, and lines are slow.
const bodyIdle = time.Minute

// withoutStalling ends requests whose body stops coming: one that never goes on
// would hold its connection, and its upload, for good.
func withoutStalling(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &movingBody{ReadCloser: r.Body, connection: http.NewResponseController(w)}
		}
		next.ServeHTTP(w, r)
	})
}

// A movingBody gives each of its reads bodyIdle.
type movingBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *movingBody) Read(p []byte) (int, error) {
	// An error means a connection without deadlines, which nothing can be done about.
	_ = b.connection.SetReadDeadline(time.Now().Add(bodyIdle))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// What is left of the request may take longer than the deadline.
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}
