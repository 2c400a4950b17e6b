package formats

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
)

// A Kind names what an address below an endpoint stands for, such as "tarball". It
// appears in tests only. "" is an address that the format does not have.
type Kind string

// A Route is one request that a format answers. P is an address of the format, parsed.
type Route[P any] struct {
	Kind Kind
	// Method is the HTTP method. A route for GET answers HEAD too; net/http drops the
	// body of that answer. "" stands for all methods that no other route of the kind has.
	Method string
	// Action is the CodeArtifact action that does the same, without "codeartifact:",
	// such as ReadFromRepository. The audit record names it, and the caller needs its
	// permission, which the method of packages.Service that Serve calls checks first.
	// "" is for an answer that says only why something is not served.
	Action string
	// Example is an address of the kind below the endpoint. The conformance suite asks
	// for it after it has published the format's sample package.
	Example string
	// Serve answers the request, as [Protocol] has it.
	Serve func(w http.ResponseWriter, r *Request, p P) error
}

// A RouteInfo is a [Route] without its code.
type RouteInfo struct {
	Kind                    Kind
	Method, Action, Example string
}

// A Table serves the requests of one format: it parses the address and calls the route
// of its kind and of the request's method. It records the action in the audit entry.
// Other methods of an address that exists are answered with 405 and Allow, and other
// addresses with 404.
type Table[P any] struct {
	parse  func(escaped string) (Kind, P)
	hint   string
	routes []Route[P]
	byKind map[Kind]map[string]*Route[P] // and by method
}

// NewTable returns a table. parse reads the escaped path below the endpoint, without a
// leading "/". hint is a sentence for people whose client asks for an address that the
// format does not have; it may be empty. Two routes of one kind and method panic.
func NewTable[P any](parse func(escaped string) (Kind, P), hint string, routes ...Route[P]) *Table[P] {
	t := &Table[P]{parse, hint, routes, map[Kind]map[string]*Route[P]{}}
	for i := range routes {
		r := &routes[i]
		methods := t.byKind[r.Kind]
		if methods == nil {
			methods = map[string]*Route[P]{}
			t.byKind[r.Kind] = methods
		}
		if methods[r.Method] != nil || r.Kind == "" || r.Serve == nil {
			panic("formats: the route " + r.Method + " " + string(r.Kind) + " exists twice, or has no kind or no code")
		}
		methods[r.Method] = r
	}
	return t
}

// Serve answers a request, as [Protocol] has it.
func (t *Table[P]) Serve(w http.ResponseWriter, r *Request) error {
	kind, p := t.parse(strings.TrimPrefix(r.Rest, "/"))
	methods := t.byKind[kind]
	if methods == nil {
		return fault.New(fault.NotFound, "NotFound", "%s", t.hinted("This repository has nothing at /"+r.Rest+"."))
	}
	route := find(methods, r.Method)
	if route == nil {
		w.Header().Set("Allow", allowed(methods))
		return fault.New(fault.MethodNotAllowed, "MethodNotAllowed", "%s", t.hinted("This repository does not answer "+r.Method+" /"+r.Rest+"."))
	}
	if route.Action != "" {
		audit.From(r.Context()).Operation("codeartifact", route.Action)
	}
	return route.Serve(w, r, p)
}

func find[P any](methods map[string]*Route[P], method string) *Route[P] {
	if method == http.MethodHead && methods[method] == nil {
		method = http.MethodGet
	}
	if r := methods[method]; r != nil {
		return r
	}
	return methods[""]
}

// allowed is the value of Allow.
func allowed[P any](methods map[string]*Route[P]) string {
	names := slices.Collect(maps.Keys(methods))
	if methods[http.MethodGet] != nil && methods[http.MethodHead] == nil {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (t *Table[P]) hinted(message string) string {
	if t.hint == "" {
		return message
	}
	return message + " " + t.hint
}

// Routes returns the routes in the order of NewTable.
func (t *Table[P]) Routes() []RouteInfo {
	infos := make([]RouteInfo, len(t.routes))
	for i, r := range t.routes {
		infos[i] = RouteInfo{r.Kind, r.Method, r.Action, r.Example}
	}
	return infos
}

// Kind returns the kind of an escaped path below the endpoint.
func (t *Table[P]) Kind(escaped string) Kind {
	kind, _ := t.parse(escaped)
	return kind
}
