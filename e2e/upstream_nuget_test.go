package e2e

import (
	"archive/zip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// addNuGet publishes a package, as the public gallery does: the registration has no hash,
// which is in the catalog, and the package is in a folder of its own.
func (u *upstream) addNuGet(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	id, version, err := nuspecOf(file)
	if err != nil {
		return err
	}
	lower := strings.ToLower(id)
	sum := sha512.Sum512(content)
	at := "/catalog/" + lower + "." + version + ".json"
	if err := u.putJSON(at, map[string]any{"packageHash": base64.StdEncoding.EncodeToString(sum[:]), "packageHashAlgorithm": "SHA512", "packageSize": len(content)}); err != nil {
		return err
	}
	u.put("/flat/"+lower+"/"+version+"/"+lower+"."+version+".nupkg", "application/octet-stream", content)
	if u.docs["nuget:"+lower] == nil {
		u.docs["nuget:"+lower] = map[string]any{}
	}
	u.docs["nuget:"+lower][version] = map[string]any{"@id": u.server.URL + at, "id": id, "version": version, "listed": true, "published": "2025-01-02T03:04:05Z"}
	return u.saveNuGet(lower)
}

// saveNuGet serves the registration of a package as it is now. Its versions are on a page
// of their own.
func (u *upstream) saveNuGet(id string) error {
	var leaves []any
	for _, entry := range u.docs["nuget:"+id] {
		leaves = append(leaves, map[string]any{"catalogEntry": entry})
	}
	for path, doc := range map[string]any{
		"/nuget/v3/index.json": map[string]any{"version": "3.0.0", "resources": []any{
			map[string]string{"@id": u.server.URL + "/registration/", "@type": "RegistrationsBaseUrl/3.6.0"},
			map[string]string{"@id": u.server.URL + "/flat/", "@type": "PackageBaseAddress/3.0.0"},
		}},
		"/registration/" + id + "/index.json": map[string]any{"items": []any{map[string]any{"@id": "page.json", "count": len(leaves)}}},
		"/registration/" + id + "/page.json":  map[string]any{"items": leaves},
	} {
		if err := u.putJSON(path, doc); err != nil {
			return err
		}
	}
	return nil
}

// deprecateNuGet deprecates and unlists a version.
func (u *upstream) deprecateNuGet(id, version string) error {
	entry, ok := u.docs["nuget:"+strings.ToLower(id)][version].(map[string]any)
	if !ok {
		return fmt.Errorf("there is no %s %s", id, version)
	}
	entry["listed"], entry["deprecation"] = false, map[string]any{"reasons": []string{"Legacy"}, "message": "use another one"}
	return u.saveNuGet(strings.ToLower(id))
}

func (u *upstream) putJSON(path string, v any) error {
	body, err := json.Marshal(v)
	if err == nil {
		u.put(path, "application/json", body)
	}
	return err
}

// nuspecOf returns the id and the version in the manifest of a package.
func nuspecOf(file string) (id, version string, err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return "", "", err
	}
	defer z.Close()
	for _, f := range z.File {
		if filepath.Ext(f.Name) != ".nuspec" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return "", "", err
		}
		var manifest struct {
			ID      string `xml:"metadata>id"`
			Version string `xml:"metadata>version"`
		}
		err = xml.NewDecoder(r).Decode(&manifest)
		return manifest.ID, manifest.Version, err
	}
	return "", "", fmt.Errorf("%s has no manifest", file)
}
