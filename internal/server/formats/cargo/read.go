package cargo

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/server/formats/cargo/stored"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
)

// A registryConfig is config.json (The Cargo Book, "Registry Index", "Index
// Configuration").
type registryConfig struct {
	Download string `json:"dl"`
	API      string `json:"api"` // without a "/" at the end
	// AuthRequired makes cargo send its token with every request. Without it cargo
	// sends the token only with those that change something.
	AuthRequired bool `json:"auth-required"`
}

// getConfig answers config.json, with the address by which the client came here.
func (h *Handler) getConfig(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	body, err := json.Marshal(registryConfig{Download: r.Base + webAPI, API: strings.TrimSuffix(r.Base, "/"), AuthRequired: true})
	if err != nil {
		return err
	}
	formats.NewDocument("application/json", body).Serve(w, r.Request)
	return nil
}

// getIndex answers the file of a crate in the index. It is rendered once for each
// revision of the crate.
func (h *Handler) getIndex(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := crate(rt.name)
	r.About(id, "")
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	file, err := h.Documents.Get(r.Repository.ARN()+"\n"+p.ID.Name+"\n"+p.Revision, func() (*formats.Document, error) {
		body, err := indexFile(p)
		if err != nil {
			return nil, err
		}
		return formats.NewDocument("text/plain; charset=utf-8", body), nil
	})
	if err != nil {
		return err
	}
	file.Serve(w, r.Request)
	return nil
}

// getCrate answers a .crate. cargo asks for it by the name and the version in the index.
func (h *Handler) getCrate(w http.ResponseWriter, r *formats.Request, rt route) error {
	id := crate(rt.name)
	r.About(id, rt.version)
	return h.ServeAsset(w, r, id, rt.version, stored.AssetName(rt.name, rt.version))
}

func noOwners(_ http.ResponseWriter, r *formats.Request, rt route) error {
	r.About(crate(rt.name), "")
	return fault.New(fault.NotFound, "NoOwners", "Crates have no owners here: IAM says who may publish to the repository %s (codeartifact:PublishPackageVersion) and who may yank (codeartifact:UpdatePackageVersionsStatus).",
		r.Repository.Name)
}
