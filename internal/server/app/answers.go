package app

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// An answer is an error that is not of a handler, but of what is around it. The
// message of each says what to do.
type answer struct {
	status  int
	fault   string // the code in the audit record
	aws     string // the code of the AWS APIs and of CodeArtifact's repositories
	oci     string // the code of the distribution specification
	message string
	// retryAfter tells the client when to come back. It is 0 if that does not help.
	retryAfter time.Duration
}

var (
	throttled   = answer{http.StatusTooManyRequests, "Throttling", "ThrottlingException", "TOOMANYREQUESTS", "Rate exceeded", time.Second}
	crossOrigin = answer{http.StatusForbidden, "CrossOriginRequest", "AccessDeniedException", "DENIED", "The request comes from a web page of another site.", 0}
)

// panicked is the answer for a handler that panicked.
func panicked(requestID string) answer {
	return answer{
		status: http.StatusInternalServerError, fault: "InternalError", aws: "InternalFailure", oci: "UNSUPPORTED",
		message: "The server failed to answer. Its log says why, under request " + requestID + ".",
	}
}

// An answerer writes an answer in the form of a route's protocol, so that SDKs and
// clients recognize it.
type answerer func(http.ResponseWriter, *http.Request, answer)

// answer notes the answer in the audit entry and writes it.
func (write answerer) answer(w http.ResponseWriter, r *http.Request, a answer) {
	audit.From(r.Context()).Failed(a.fault, a.message)
	write(w, r, a)
}

func answerAPI(w http.ResponseWriter, r *http.Request, a answer) {
	wire.WriteError(w, r, wire.Error{Code: a.aws, Message: a.message, Status: a.status, RetryAfter: a.retryAfter})
}

func answerRegistry(w http.ResponseWriter, _ *http.Request, a answer) {
	writeJSON(w, a, map[string]any{"errors": []any{map[string]string{"code": a.oci, "message": a.message}}})
}

func answerPackages(w http.ResponseWriter, _ *http.Request, a answer) {
	w.Header().Set("X-Amzn-Errortype", a.aws)
	writeJSON(w, a, map[string]string{"message": a.message})
}

// answerText is for operators, whose listener speaks no protocol of AWS.
func answerText(w http.ResponseWriter, _ *http.Request, a answer) {
	http.Error(w, a.message, a.status)
}

func writeJSON(w http.ResponseWriter, a answer, body any) {
	w.Header().Set("Content-Type", "application/json")
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(body) // a client that has left needs no answer
}
