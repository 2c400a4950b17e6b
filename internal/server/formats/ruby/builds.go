package ruby

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats/ruby/rubygem"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A build is one gem file: a version for one platform.
type build struct {
	name, version, platform string
	asset                   packages.Asset
}

// number is the version with the platform, unless that is "ruby".
func (b build) number() string {
	return (&rubygem.Gem{Version: b.version, Platform: b.platform}).Number()
}

// specification is what the gem's specification says.
func (b build) specification() (*rubygem.Gem, error) {
	g := new(rubygem.Gem)
	return g, json.Unmarshal(b.asset.Metadata, g)
}

// buildsOf returns the gems of a version.
func buildsOf(name string, v *packages.Version) []build {
	var all []build
	for _, a := range v.Assets {
		number, ok := strings.CutPrefix(a.Name, name+"-"+v.Version)
		if number, ok2 := strings.CutSuffix(number, ".gem"); ok && ok2 {
			b := build{name, v.Version, rubygem.AnyPlatform, a}
			if platform, ok := strings.CutPrefix(number, "-"); ok {
				b.platform = platform
			}
			all = append(all, b)
		}
	}
	return all
}

// listed returns the gems of a package that indexes show, in the order of versions.
func listed(p *packages.Package) []build {
	var all []build
	for _, v := range p.Versions {
		all = append(all, slices.DeleteFunc(buildsOf(p.ID.Name, v), func(b build) bool { return b.asset.Withdrawn })...)
	}
	slices.SortFunc(all, func(a, b build) int {
		return cmp.Or(packages.Ruby.Compare(a.version, b.version), strings.Compare(a.platform, b.platform))
	})
	return all
}

// maxSplits bounds the ways in which a full name is read.
const maxSplits = 8

// find returns the gem with a full name, such as acme-gem-1.0.0-java. Where the name ends
// is not written: the version begins with a digit after a dash, and both names and
// platforms may have such places too. So the ways to read it are tried, the longest
// name first.
func (h *Handler) find(r *formats.Request, full string) (build, error) {
	var missing error
	tried := 0
	for i := len(full) - 2; i > 0 && tried < maxSplits; i-- {
		if full[i] != '-' || full[i+1] < '0' || full[i+1] > '9' {
			continue
		}
		tried++
		id := packageID(full[:i])
		version, _, _ := strings.Cut(full[i+1:], "-")
		p, err := h.Packages.Package(r.Context(), r.Repository, id)
		if err == nil {
			if v := p.Version(version); v != nil {
				for _, b := range buildsOf(id.Name, v) {
					if b.name+"-"+b.number() == full {
						r.About(id, version)
						return b, nil
					}
				}
			}
			err = h.Packages.WhyNotVisible(r.Context(), r.Repository, id, version)
		}
		if e := fault.From(err); e == nil || e.Kind != fault.NotFound {
			return build{}, err
		}
		missing = err
	}
	if missing == nil {
		missing = fault.New(fault.NotFound, "NotFound", "%q is not the full name of a gem, such as rake-13.0.6.", full)
	}
	return build{}, missing
}

// getGem answers a gem, listed or not.
func (h *Handler) getGem(w http.ResponseWriter, r *formats.Request, rt route) error {
	b, err := h.find(r, rt.name)
	if err != nil {
		return err
	}
	asset, content, err := h.Packages.OpenAsset(r.Context(), r.Repository, packageID(b.name), b.version, b.asset.Name)
	if err != nil {
		return err
	}
	return formats.ServeAsset(w, r.Request, asset, content)
}

// getGemspec answers the specification of a gem, in Marshal.
func (h *Handler) getGemspec(w http.ResponseWriter, r *formats.Request, rt route) error {
	b, err := h.find(r, rt.name)
	if err != nil {
		return err
	}
	g, err := b.specification()
	if err != nil {
		return err
	}
	formats.NewDocument("application/octet-stream", gemspecRZ(g)).Serve(w, r.Request)
	return nil
}
