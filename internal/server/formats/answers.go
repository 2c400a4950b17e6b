package formats

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// OverExisting puts before the message of an error of [packages.Service.Publish] the
// words by which a format's clients recognise that something exists already with other
// bytes: npm's "You cannot publish over the previously published versions", twine's
// "File already exists". Any other error stays as it is, and so does a conflict with the
// origin configuration of the package, which is not about a version.
//
// Publishing the same bytes again is not an error: Publish succeeds and changes nothing.
func OverExisting(err error, words string, args ...any) error {
	e := fault.From(err)
	if e == nil || e.Kind != fault.Conflict || packages.IsOriginBlocked(err) {
		return err
	}
	explained := *e
	explained.Message = fmt.Sprintf(words, args...) + " " + e.Message
	return &explained
}

// BadContent is the answer to a document or an archive that cannot be read because of
// err: a fault Invalid with the code, the message and the reason that err gives. A fault
// in err is returned as it is, because it has a better answer: the body was too large,
// or the store failed. An end of the body in the middle is a fault IncompleteBody.
// Decoders must read from a reader whose own errors are faults, or failures of the store
// become the client's.
func BadContent(err error, code, message string, args ...any) error {
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return e
	}
	message = fmt.Sprintf(message, args...)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Wrap(err, fault.Invalid, "IncompleteBody", "%s It ended before it was complete.", message)
	}
	return fault.Wrap(err, fault.Invalid, code, "%s The reason: %s.", message, strings.TrimSuffix(err.Error(), "."))
}

// WriteText answers with a text for people, which most clients print as it is.
func WriteText(w http.ResponseWriter, r *Request, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text)) // the client is gone
	}
}

// HeaderLine replaces what cannot be in the value of a header by spaces.
func HeaderLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, s)
}

// IsNotFound reports whether an error is a fault of kind NotFound: what was asked for does
// not exist, or the caller does not see it.
func IsNotFound(err error) bool {
	f := fault.From(err)
	return f != nil && f.Kind == fault.NotFound
}
