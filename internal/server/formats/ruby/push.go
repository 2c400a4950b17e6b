package ruby

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/archive"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// push publishes a gem. The same bytes again change nothing.
func (h *Handler) push(w http.ResponseWriter, r *formats.Request, _ route) error {
	staged, err := h.Packages.StageUnnamed(r.Context(), r.Repository, packages.Ruby, r.Body, h.MaxAsset)
	if err != nil {
		return err
	}
	defer staged.Discard()
	g, err := h.read(r, staged)
	if err != nil {
		return err
	}
	id := packageID(g.Name)
	r.About(id, g.Version)
	metadata, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := h.checkFullName(r, g); err != nil {
		return err
	}
	_, err = h.Packages.Publish(r.Context(), packages.Publication{
		Repository: r.Repository, Package: id, Version: g.Version, Description: g.Describe(),
		Assets: []packages.StagedAsset{{Name: g.FileName(), Content: staged, Metadata: metadata}},
	})
	if err != nil {
		return formats.OverExisting(err, "%s exists already: repushing a gem is not allowed.", g.FileName())
	}
	formats.WriteText(w, r, http.StatusOK, "Successfully registered gem: "+g.Name+" ("+g.Number()+")\n")
	return nil
}

// checkFullName refuses a gem whose file has the name that the file of another gem has:
// acme-1.0 of version 2 for java, and acme of version 1.0 for 2-java. Clients would get
// either of them. A caller who may not read may publish every gem, see
// [packages.Service.StageUnnamed]. An external registry that fails does not keep anybody
// from publishing.
func (h *Handler) checkFullName(r *formats.Request, g *rubygem.Gem) error {
	have, err := h.find(r, g.FullName())
	r.About(packageID(g.Name), g.Version) // and not what was found
	if err == nil && have.name != g.Name {
		return fault.New(fault.Conflict, "Conflict", "There is a gem %s (%s) already, whose file has the same name: %s. Choose another name, version or platform.", have.name, have.number(), g.FileName())
	}
	if kind := fault.From(err); kind == nil || kind.Kind == fault.NotFound || kind.Kind == fault.Denied || packages.IsRemoteFailure(err) {
		return nil
	}
	return err
}

func (h *Handler) read(r *formats.Request, staged *packages.Staged) (*rubygem.Gem, error) {
	object, err := staged.Open(r.Context())
	if err != nil {
		return nil, err
	}
	defer object.Close()
	release, err := h.Archives.Acquire(r.Context(), 0, archive.Limits{})
	if err != nil {
		return nil, err
	}
	defer release()
	return rubygem.Read(r.Context(), object, staged.Size)
}

// maxForm bounds the form of a yank, in bytes.
const maxForm = 16 << 10

// yank unlists a version: `gem yank NAME -v VERSION`. The status is of the version, so the
// gems of all its platforms are yanked together.
func (h *Handler) yank(w http.ResponseWriter, r *formats.Request, _ route) error {
	name, version, platform, err := yankForm(w, r)
	if err != nil {
		return err
	}
	id := packageID(name)
	r.About(id, version)
	// The permission comes first, so that a stranger learns nothing of the version.
	if err := h.Packages.AuthorizedPackage(r.Context(), r.Repository, id, "codeartifact:UpdatePackageVersionsStatus"); err != nil {
		return err
	}
	if platform != "" {
		if err := h.checkPlatform(r, id, version, platform); err != nil {
			return err
		}
	}
	out, err := h.Packages.UpdateVersionsStatus(r.Context(), r.Repository, id,
		packages.Selection{Versions: []string{version}, Expected: packages.Published}, packages.Unlisted)
	if err != nil {
		return err
	}
	if failed, ok := out.Failed[version]; ok {
		if failed.Code == "NOT_FOUND" {
			return fault.New(fault.NotFound, "NotFound", "This repository has no %s (%s). A version of an upstream repository is yanked there.", name, version)
		}
		return fault.New(fault.Conflict, "Conflict", "%s (%s) cannot be yanked. %s", name, version, failed.Message)
	}
	formats.WriteText(w, r, http.StatusOK, fmt.Sprintf("Successfully yanked gem: %s (%s)\n", name, version))
	return nil
}

// yankForm reads the form of a yank from the body, which net/http leaves to handlers for
// DELETE, or from the query.
func yankForm(w http.ResponseWriter, r *formats.Request) (name, version, platform string, err error) {
	values := r.URL.Query()
	if r.Body != nil {
		parsed, err := readForm(http.MaxBytesReader(w, r.Body, maxForm))
		if err != nil {
			return "", "", "", fault.Wrap(err, fault.Invalid, "InvalidForm", "The form of the yank cannot be read.")
		}
		for key, value := range parsed {
			values[key] = value
		}
	}
	name, version, platform = values.Get("gem_name"), values.Get("version"), values.Get("platform")
	if !rubygem.ValidName(name) || !rubygem.ValidVersion(version) {
		return "", "", "", fault.New(fault.Invalid, "InvalidForm", "A yank needs the fields gem_name and version: gem yank NAME -v VERSION.")
	}
	return name, version, platform, nil
}

// checkPlatform refuses to yank one platform of several.
func (h *Handler) checkPlatform(r *formats.Request, id packages.PackageID, version, platform string) error {
	p, err := h.Packages.Package(r.Context(), r.Repository, id)
	if err != nil {
		return err
	}
	v := p.Version(version)
	if v == nil {
		return h.Packages.WhyNotVisible(r.Context(), r.Repository, id, version)
	}
	var all []string
	for _, b := range buildsOf(id.Name, v) {
		all = append(all, b.platform)
	}
	if !slices.Contains(all, platform) {
		return fault.New(fault.NotFound, "NotFound", "%s (%s) has no gem for the platform %s. It has: %s.", id.Name, version, platform, strings.Join(all, ", "))
	}
	if len(all) > 1 {
		return fault.New(fault.Conflict, "Conflict", "%s (%s) has gems for several platforms, which are yanked together: %s. Yank it without --platform.", id.Name, version, strings.Join(all, ", "))
	}
	return nil
}

func readForm(r io.Reader) (url.Values, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(raw))
}
