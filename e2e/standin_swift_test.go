package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
)

// swiftTypes returns the media types of Swift's registry specification (SE-0292,
// 3.5) that its clients ask for.
func swiftTypes() []string {
	return []string{"application/vnd.swift.registry.v1+json", "application/vnd.swift.registry.v1+zip", "application/vnd.swift.registry.v1+swift"}
}

// serveSwift serves Swift's registry specification, version 1: login, the releases of
// a package, a release, its source archive, and publishing.
func serveSwift(w http.ResponseWriter, r *standinRequest) {
	w.Header().Set("Content-Version", "1")
	if accept := r.Header.Get("Accept"); r.Method == http.MethodGet && !slices.Contains(swiftTypes(), accept) {
		refuseSwift(w, http.StatusUnsupportedMediaType, fmt.Sprintf("the media type %q is not of the registry's", accept))
		return
	}
	name := strings.ToLower(r.Rest)
	switch steps := strings.Split(name, "/"); {
	case r.Method == http.MethodPost && name == "login":
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodPut && len(steps) == 3:
		publishSwift(w, r, name)
	case r.Method == http.MethodGet && len(steps) == 2:
		releases := map[string]any{}
		for _, file := range r.Files.List(name + "/") {
			releases[strings.TrimSuffix(path.Base(file), ".zip")] = map[string]string{"url": r.Base + strings.TrimSuffix(file, ".zip")}
		}
		if len(releases) == 0 {
			refuseSwift(w, http.StatusNotFound, "there is no such package")
			return
		}
		answerJSON(w, map[string]any{"releases": releases})
	case r.Method == http.MethodGet && len(steps) == 3:
		serveSwiftRelease(w, r, name)
	default:
		refuseSwift(w, http.StatusNotFound, "there is nothing here")
	}
}

// serveSwiftRelease answers scope/name/version.zip with the archive, and
// scope/name/version with its metadata.
func serveSwiftRelease(w http.ResponseWriter, r *standinRequest, name string) {
	whole, zipped := strings.CutSuffix(name, ".zip")
	archive, ok := r.Files.Get(whole + ".zip")
	switch {
	case !ok:
		refuseSwift(w, http.StatusNotFound, "there is no such release")
	case zipped:
		w.Header().Set("Content-Type", "application/zip")
		w.Write(archive)
	default:
		sum := sha256.Sum256(archive)
		answerJSON(w, map[string]any{
			"id": strings.Replace(path.Dir(whole), "/", ".", 1), "version": path.Base(whole), "metadata": map[string]any{},
			"resources": []map[string]string{{"name": "source-archive", "type": "application/zip", "checksum": hex.EncodeToString(sum[:])}},
		})
	}
}

func publishSwift(w http.ResponseWriter, r *standinRequest, name string) {
	parts, err := r.MultipartReader()
	for err == nil {
		part, next := parts.NextPart()
		if err = next; err != nil {
			break
		}
		if part.FormName() != "source-archive" {
			continue
		}
		archive, read := io.ReadAll(http.MaxBytesReader(nil, part, maxStandinBody))
		if err = read; err == nil {
			r.Files.Put(name+".zip", archive)
			w.Header().Set("Location", r.Base+name)
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	refuseSwift(w, http.StatusUnprocessableEntity, "the form has no source-archive: "+err.Error())
}

// refuseSwift answers with problem details (RFC 9457), as the specification requires.
func refuseSwift(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "detail": detail})
}
