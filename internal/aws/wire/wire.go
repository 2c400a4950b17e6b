// Package wire speaks the AWS protocols on the server's side: awsJson1.1 (ECR),
// restJson1 (CodeArtifact) and awsQuery (STS, IAM).
//
// An API is declared by handing ordinary Go functions to [Handle]:
//
//	s, err := wire.New("ecr", wire.Options{Authenticate: …})
//	wire.Handle(s, api.CreateRepository)
//	http.Handle("/", wire.NewMux(s))
//
// Each function takes and returns the structs that aws-sdk-go-v2's client has
// for its operation. How these are read from and written to HTTP, and which
// constraints they must meet, comes from the service's table in package model.
// Handle does all reflection once. Operations that the
// service has but no function handles answer with an [*UnimplementedError].
//
// A request goes through these steps, and the first that fails answers it:
// the operation is found, Precheck, the body is read (it is bounded), Authenticate, the
// input is decoded and its constraints are checked, Intercept with the function
// inside, and the output is encoded. Every error passes through
// MapError and is written in the form of the protocol in one place.
//
// The package knows protocols and no service: the package of each service names
// its errors, in MapError. It must import nothing of the server.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// DefaultMaxBody bounds a request's body in bytes, if the table of the
// service has no other bound for the operation. The reader of a streaming body
// bounds it.
const DefaultMaxBody = 1 << 20

// SmallBody is how many bytes of a body are read without a look at the request's
// credentials.
const SmallBody = 64 << 10

// A BufferError is an error of [Options].Buffer. Err passes through MapError.
type BufferError struct{ Err error }

func (e *BufferError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *BufferError) Unwrap() error { return e.Err }

// Options are what a service needs around its operations. All functions are
// called from many goroutines at once.
type Options struct {
	// Authenticate verifies the request and returns the context for the handler,
	// carrying the caller. Required.
	//
	// body is the whole body, valid during the call alone. It is nil for an
	// operation with a streaming body, which is then still in r.Body:
	// Authenticate may set r.Body to a reader that verifies it on the way.
	Authenticate func(r *http.Request, op string, body []byte) (context.Context, error)
	// Precheck looks at a request whose body has more than SmallBody bytes or an unknown
	// length, before the body is read. It proves nothing, since that takes the body. It
	// keeps clients without credentials from making the server hold large bodies. op is
	// "" if only the body says which operation it is. Optional.
	Precheck func(r *http.Request, op string) error
	// Buffer wraps a body of more than SmallBody bytes, or of unknown length, before it
	// is read into memory; release is called when the request has been answered. An
	// error of the reader that is not the body's own must be a [*BufferError].
	// Optional.
	Buffer func(r *http.Request) (body io.Reader, release func())
	// Intercept wraps each operation after decoding and validation. in is the
	// operation's input, and next calls the handler and returns its output.
	// Optional.
	Intercept func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error)
	// MapError turns any error into one of the SDK's modelled error types or an
	// [*Error]: a handler's, Authenticate's, and this package's own
	// [*ValidationError], [*SerializationError], [*TooLargeError],
	// [*UnknownOperationError], [*MethodError] and [*UnimplementedError]. What
	// it leaves as it is gets this package's default form. Any other error is
	// internal, and the client never sees its text. Optional.
	MapError func(error) error
	// Failed is called for every error with the error itself and with what the
	// client gets. ctx is the request's context. Optional.
	Failed func(ctx context.Context, err error, answer Error)
	// RequestID names a request in its answer. Optional: without it, or if it
	// returns "", the id is random.
	RequestID func(*http.Request) string
}

// A Service serves the operations of one AWS service. It is an [http.Handler]
// for that service alone; several share an address through [NewMux].
type Service struct {
	table   *model.Service
	options Options
	proto   protocol
	planner *planner
	ops     map[string]*operation
}

// An operation is one operation with its compiled plans.
type operation struct {
	*model.Operation
	name    string
	maxBody int64
	streams bool // the request's body is a member
	// in and out are nil if there is nothing to read or to write, and all four
	// are nil if no function handles the operation.
	in, out *node
	newIn   func() any
	call    func(ctx context.Context, in any) (any, error)
}

// New returns the service called "ecr", "codeartifact", "sts", "iam", "secretsmanager" or
// "signer", without handlers.
func New(service string, o Options) (*Service, error) {
	t, err := model.Load(service)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return NewFromTable(t, o)
}

// NewFromTable returns the service of a table, without handlers. The table must not
// change afterwards.
func NewFromTable(t *model.Service, o Options) (*Service, error) {
	if o.Authenticate == nil {
		return nil, errors.New("wire: no Authenticate")
	}
	if o.RequestID == nil {
		o.RequestID = randomID
	}
	s := &Service{table: t, options: o, planner: newPlanner(t), ops: map[string]*operation{}}
	for name, mo := range t.Operations {
		s.ops[name] = newOperation(t, name, mo)
	}
	switch t.Protocol {
	case model.JSON:
		s.proto = awsJSON{s}
	case model.RestJSON:
		s.proto = newRestJSON(s)
	case model.Query:
		s.proto = awsQuery{s}
	default:
		return nil, fmt.Errorf("wire: %s: unknown protocol %q", t.Name, t.Protocol)
	}
	return s, nil
}

func newOperation(t *model.Service, name string, mo *model.Operation) *operation {
	o := &operation{Operation: mo, name: name, maxBody: DefaultMaxBody}
	if mo.MaxBody > 0 {
		o.maxBody = mo.MaxBody
	}
	if input := t.Shapes[mo.Input]; input != nil {
		for _, m := range input.Members {
			o.streams = o.streams || m.In == model.InPayload
		}
	}
	return o
}

// Name is the service's name in a SigV4 credential scope.
func (s *Service) Name() string { return s.table.Name }

// Operations returns the names of all operations that the service has, handled
// or not, in alphabetical order.
func (s *Service) Operations() []string {
	names := make([]string, 0, len(s.ops))
	for name := range s.ops {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Handled reports whether the operation has a handler.
func (s *Service) Handled(op string) bool {
	o := s.ops[op]
	return o != nil && o.call != nil
}

// Handle serves one operation with fn: the operation whose input struct is I. It
// must be called before the service serves anything. It panics if I and O are not
// the structs of an operation of the service; any test that builds the service
// finds that.
func Handle[I, O any](s *Service, fn func(context.Context, *I) (*O, error)) {
	err := s.handle(reflect.TypeFor[I](), reflect.TypeFor[O](),
		func() any { return new(I) },
		func(ctx context.Context, in any) (any, error) {
			out, err := fn(ctx, in.(*I))
			if out == nil { // not an interface that holds a nil pointer
				return nil, err
			}
			return out, err
		})
	if err != nil {
		panic("wire: " + err.Error())
	}
}

func (s *Service) handle(in, out reflect.Type, newIn func() any, call func(context.Context, any) (any, error)) error {
	name, ok := strings.CutSuffix(in.Name(), "Input")
	o := s.ops[name]
	if !ok || o == nil || out.Name() != name+"Output" {
		return fmt.Errorf("%s has no operation with %v and %v", s.table.Name, in, out)
	}
	var err error
	if o.Input != "" {
		if o.in, err = s.planner.plan(o.Input, in); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if o.Output != "" {
		if o.out, err = s.planner.plan(o.Output, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		o.out.answer = true
	}
	o.newIn, o.call = newIn, call
	return nil
}

// Union declares the cases of a union: T is the SDK's interface, and the cases
// are a value of each of its types. It must be called before Handle. A request
// with a union whose cases are not declared is refused.
func Union[T any](s *Service, cases ...T) {
	t := reflect.TypeFor[T]()
	for _, c := range cases {
		s.planner.cases[t] = append(s.planner.cases[t], reflect.TypeOf(c))
	}
}
