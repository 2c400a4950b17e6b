package formats

import (
	"net/http"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Protocol speaks the protocol of one package format.
type Protocol interface {
	// Serve answers a request. It returns an error only if it has written nothing
	// of an answer yet. A protocol lets its [Table] do this.
	Serve(w http.ResponseWriter, r *Request) error
	// WriteError writes an error in the form that the format's clients show. The
	// challenges of a 401 are in the header already. status is [Status] of the error's
	// kind; a protocol may write another one that its clients expect.
	WriteError(w http.ResponseWriter, r *Request, status int, e *fault.Error)
	// LoginTool is the --tool of `aws codeartifact login` with which the client
	// that sends such a request gets a new token, or of `gatehouse login` if the AWS
	// CLI does not know the client.
	LoginTool(r *http.Request) string
	// Authentication is how the format's clients send their token.
	Authentication() Authentication
	// Routes are the requests that the protocol answers, in the order of its table.
	Routes() []RouteInfo
}

// A Request is one request for a package endpoint. The context of the embedded
// request carries the caller.
type Request struct {
	*http.Request
	RepositoryEndpoint
	// Base is the address of the endpoint as the client knows it, with scheme
	// and host, ending in "/". Addresses in documents begin with it, because
	// clients send their token to no other host.
	Base string
	// Listed means that Base is an address under which the server knows the endpoint.
	// Otherwise the client made up the host, and may make up any number of others:
	// nothing that contains Base may be cached then.
	Listed bool
	// Rest is the path below the endpoint, without a leading "/", still escaped.
	Rest string

	recorded [7]audit.Param // the memory of params
}

// Operation records in the audit entry what the request does and to which package,
// if that is not the action of its [Route]. name is the CodeArtifact action that does
// the same.
func (r *Request) Operation(name string, id packages.PackageID, version string) {
	audit.From(r.Context()).Operation("codeartifact", name)
	r.About(id, version)
}

// About records in the audit entry which package the request is about, and which
// version if that is not empty.
func (r *Request) About(id packages.PackageID, version string) {
	e := audit.From(r.Context())
	e.Params(r.params(id, version))
	e.Resource("", r.Repository.PackageARN(id))
}

// params are the parameters for the audit entry. What is empty is left out.
func (r *Request) params(id packages.PackageID, version string) audit.Params {
	d := r.Repository.Domain
	params := append(r.recorded[:0], audit.Param{Name: "domainName", Value: d.Name}, audit.Param{Name: "domainOwner", Value: d.Owner})
	if id.Namespace != "" {
		params = append(params, audit.Param{Name: "namespace", Value: id.Namespace})
	}
	if id.Name != "" {
		params = append(params, audit.Param{Name: "package", Value: id.Name})
	}
	params = append(params, audit.Param{Name: "packageFormat", Value: string(r.Format)})
	if version != "" {
		params = append(params, audit.Param{Name: "packageVersion", Value: version})
	}
	return append(params, audit.Param{Name: "repositoryName", Value: r.Repository.Name})
}
