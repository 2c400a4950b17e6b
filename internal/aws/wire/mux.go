package wire

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
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
			if len(p.labelled) > 0 {
				m.labelled = append(m.labelled, p)
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
	labelled  []restJSON // those with paths that have members
}

func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		if s := m.targets[prefix]; s != nil {
			s.ServeHTTP(w, r)
			return
		}
		m.notFound(w, r, http.StatusBadRequest, "The header X-Amz-Target names no service of this server.")
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
	for _, p := range m.labelled {
		if p.template(path) != "" {
			p.Service.ServeHTTP(w, r)
			return
		}
	}
	m.notFound(w, r, http.StatusNotFound, "There is no AWS operation at "+r.Method+" "+truncate.String(path, 200)+".")
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

// notFound answers a request that no service can be found for.
func (m *mux) notFound(w http.ResponseWriter, r *http.Request, status int, message string) {
	w.Header().Set("X-Amzn-Requestid", m.requestID(r))
	WriteError(w, r, Error{Code: "UnknownOperationException", Message: message, Status: status})
}

// WriteError answers a request that reaches no service, in the form of the protocol
// that the request seems to speak. The id of the request is the one in the header
// X-Amzn-Requestid of the answer. In awsQuery, whose codes have no such ending, the
// code loses the ending Exception; and there and in awsJson1.1 the status 429 becomes
// 400, as AWS has it for throttling.
func WriteError(w http.ResponseWriter, r *http.Request, e Error) {
	p := spoken(r)
	f := failure{code: e.Code, message: e.Message, status: e.Status}
	if _, rest := p.(restJSON); !rest && f.status == http.StatusTooManyRequests {
		f.status = http.StatusBadRequest
	}
	if _, query := p.(awsQuery); query {
		f.code = strings.TrimSuffix(f.code, "Exception")
	}
	h := w.Header()
	h.Set("X-Amzn-Errortype", f.code)
	setRetryAfter(h, e.RetryAfter)
	p.fail(&exchange{w: w, r: r, id: h.Get("X-Amzn-Requestid")}, f)
}

// noService is the service of an answer to a request that reaches none.
var noService = &Service{table: new(model.Service)}

// spoken returns the protocol that a request seems to speak.
func spoken(r *http.Request) protocol {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return awsJSON{noService}
	case isForm(r), r.URL.EscapedPath() == "/" && mayBeForm(r):
		return awsQuery{noService}
	}
	return restJSON{Service: noService}
}

// isForm reports whether a request says that it is a form.
func isForm(r *http.Request) bool {
	return strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/x-www-form-urlencoded")
}
