package wire

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/truncate"
)

// NewMux serves several services on one address, for clients with one endpoint
// for all of AWS. The service is found by, in this order:
//
//   - the header X-Amz-Target: a service of awsJson1.1, by the prefix;
//   - the path "/": a service of awsQuery, by the API version among the
//     parameters, or without one by the service in the SigV4 credential scope;
//   - any other path: the service of restJson1 that has it.
//
// Any other request is answered with 404, or with 400 if X-Amz-Target names an
// unknown service.
func NewMux(services ...*Service) http.Handler {
	m := &mux{requestID: randomID, targets: map[string]*Service{}, versions: map[string]*Service{}, paths: map[string]*Service{}}
	for i, s := range services {
		if i == 0 {
			m.requestID = s.options.RequestID
		}
		switch p := s.proto.(type) {
		case awsJSON:
			m.targets[s.table.TargetPrefix] = s
		case awsQuery:
			m.queries = append(m.queries, s)
			m.versions[s.table.Version] = s
		case restJSON:
			for path := range p.paths {
				m.paths[path] = s
			}
		}
	}
	return m
}

type mux struct {
	requestID func(*http.Request) string // the first service's
	targets   map[string]*Service        // by the prefix of X-Amz-Target
	queries   []*Service
	versions  map[string]*Service // the queries, by API version
	paths     map[string]*Service
}

func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		if s := m.targets[prefix]; s != nil {
			s.ServeHTTP(w, r)
			return
		}
		m.notFound(w, r, awsJSON{}, http.StatusBadRequest, "The header X-Amz-Target names no service of this server.")
		return
	}
	path := r.URL.EscapedPath() // as it was signed: one operation has one spelling
	if path == "/" && len(m.queries) > 0 && mayBeForm(r) {
		m.serveQuery(w, r)
		return
	}
	if s := m.paths[path]; s != nil {
		s.ServeHTTP(w, r)
		return
	}
	m.notFound(w, r, restJSON{}, http.StatusNotFound, "There is no AWS operation at "+r.Method+" "+truncate.String(path, 200)+".")
}

// mayBeForm reports whether a request for "/" can be of awsQuery. AWS reads
// forms of almost any content type, and so does this. Only JSON is certainly not a form.
func mayBeForm(r *http.Request) bool {
	if r.Method == http.MethodPost {
		return !strings.Contains(r.Header.Get("Content-Type"), "json")
	}
	return r.Method == http.MethodGet && r.URL.Query().Has("Action")
}

// serveQuery reads the parameters, which name the operation.
func (m *mux) serveQuery(w http.ResponseWriter, r *http.Request) {
	x := m.queries[0].exchange(w, r) // answers if no service is found
	defer x.end()
	if !isSmall(r) { // finding the service in the scope allocates
		s := m.scoped(r)
		if err := x.precheck(s, ""); err != nil {
			x.Service = s
			x.fail(err)
			return
		}
	}
	if err := x.readForm(); err != nil {
		x.fail(err)
		return
	}
	x.Service = m.query(x)
	if err := (awsQuery{x.Service}).find(x); err != nil {
		x.fail(err)
		return
	}
	x.run()
}

func (m *mux) query(x *exchange) *Service {
	if s := m.versions[x.form.get("Version")]; s != nil {
		return s
	}
	return m.scoped(x.r)
}

// scoped returns the service of awsQuery in the credential scope of a request, or the
// first one.
func (m *mux) scoped(r *http.Request) *Service {
	scope := scopeService(r)
	for _, s := range m.queries {
		if s.table.Name == scope {
			return s
		}
	}
	return m.queries[0]
}

// scopeService returns the service in the credential scope of a request that
// SigV4 signs, in the header or the query string, or "".
// It is a routing hint and proves nothing.
func scopeService(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	}
	if parts := strings.Split(credential, "/"); len(parts) == 5 { // key, date, region, service, aws4_request
		return parts[3]
	}
	return ""
}

// notFound answers a request that no service can be found for, in the protocol
// that its client speaks.
func (m *mux) notFound(w http.ResponseWriter, r *http.Request, p protocol, status int, message string) {
	const code = "UnknownOperationException"
	x := &exchange{w: w, r: r, id: m.requestID(r)}
	w.Header().Set("X-Amzn-Requestid", x.id)
	w.Header().Set("X-Amzn-Errortype", code)
	p.fail(x, failure{code: code, message: message, status: status})
}
