package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
)

// serveNuGet serves NuGet's server API, version 3: the service index, the flat
// container (PackageBaseAddress/3.0.0) and pushing (PackagePublish/2.0.0).
func serveNuGet(w http.ResponseWriter, r *standinRequest) {
	switch {
	case r.Method == http.MethodGet && r.Rest == "v3/index.json":
		answerJSON(w, map[string]any{"version": "3.0.0", "resources": []map[string]string{
			{"@id": r.Base + "v3/flat/", "@type": "PackageBaseAddress/3.0.0"},
			{"@id": r.Base + "api/v2/package", "@type": "PackagePublish/2.0.0"},
		}})
	case r.Method == http.MethodGet && strings.HasPrefix(r.Rest, "v3/flat/"):
		getNuGet(w, r, strings.TrimPrefix(r.Rest, "v3/flat/"))
	case r.Method == http.MethodPut && r.Rest == "api/v2/package":
		if err := pushNuGet(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	default:
		http.NotFound(w, r.Request)
	}
}

// getNuGet answers id/index.json with the versions, and id/version/file with the
// package.
func getNuGet(w http.ResponseWriter, r *standinRequest, name string) {
	if id, ok := strings.CutSuffix(name, "/index.json"); ok {
		versions := []string{}
		for _, file := range r.Files.List(id + "/") {
			versions = append(versions, path.Base(path.Dir(file)))
		}
		if len(versions) > 0 {
			answerJSON(w, map[string][]string{"versions": versions})
			return
		}
	}
	file, ok := r.Files.Get(name)
	if !ok {
		http.NotFound(w, r.Request)
		return
	}
	w.Write(file)
}

// pushNuGet stores the package of a multipart form under the name in its manifest.
func pushNuGet(r *standinRequest) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	part, err := parts.NextPart()
	if err != nil {
		return err
	}
	file, err := io.ReadAll(http.MaxBytesReader(nil, part, maxStandinBody))
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	for _, entry := range archive.File {
		if path.Ext(entry.Name) != ".nuspec" {
			continue
		}
		manifest, err := entry.Open()
		if err != nil {
			return err
		}
		defer manifest.Close()
		var spec struct {
			ID      string `xml:"metadata>id"`
			Version string `xml:"metadata>version"`
		}
		if err := xml.NewDecoder(manifest).Decode(&spec); err != nil {
			return err
		}
		id, version := strings.ToLower(spec.ID), strings.ToLower(spec.Version)
		r.Files.Put(id+"/"+version+"/"+id+"."+version+".nupkg", file)
		return nil
	}
	return fmt.Errorf("the package has no manifest")
}

func answerJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}
