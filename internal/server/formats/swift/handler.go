package swift

import (
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves Swift's package manager. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.Swift, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is swift.
func (h *Handler) LoginTool(*http.Request) string { return "swift" }

// Authentication is by Bearer. See the package comment for the reason why Basic is not
// offered; who sends it anyway is authenticated by it.
func (h *Handler) Authentication() formats.Authentication {
	return formats.Authentication{Challenges: []formats.Challenge{formats.BearerChallenge}}
}

// apiVersion is the value of Content-Version, which every answer has (specification,
// 3.5).
const apiVersion = "1"

// mediaPrefix begins the media types of the API (specification, 3.5).
const mediaPrefix = "application/vnd.swift.registry"

// versioned answers a request that asks for version 1 of the API, or for none.
func (h *Handler) versioned(serve func(http.ResponseWriter, *formats.Request, route) error) func(http.ResponseWriter, *formats.Request, route) error {
	return func(w http.ResponseWriter, r *formats.Request, rt route) error {
		if err := checkAccept(r.Header.Get("Accept")); err != nil {
			return err
		}
		w.Header().Set("Content-Version", apiVersion)
		return serve(w, r, rt)
	}
}

// unknownVersion is the code of an error that is answered with 415.
const unknownVersion = "UnknownAPIVersion"

// checkAccept refuses a version of the API that is not 1. Media types that are not of
// the API are not looked at.
func checkAccept(accept string) error {
	var other string
	for _, part := range strings.Split(accept, ",") {
		media, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		tail, ok := strings.CutPrefix(media, mediaPrefix)
		if !ok {
			if strings.HasPrefix(media, "*/") || strings.HasPrefix(media, "application/*") {
				return nil
			}
			continue
		}
		version, _, _ := strings.Cut(tail, "+")
		switch {
		case version == "" || version == ".v"+apiVersion:
			return nil
		case !strings.HasPrefix(version, ".v"):
			return fault.New(fault.Invalid, "InvalidAccept", "The media type %.100q is not one of the registry's.", media)
		}
		other = media
	}
	if other != "" {
		return fault.New(fault.Invalid, unknownVersion, "The registry speaks version %s of the API, and not that of %.100q.", apiVersion, other)
	}
	return nil
}

// A problem is an error (RFC 9457), of which the client prints the detail.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// WriteError writes a problem. A release that cannot be accepted is 422.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	switch {
	case e.Code == unknownVersion:
		status = http.StatusUnsupportedMediaType
	case status == http.StatusBadRequest && r.Method == http.MethodPut:
		status = http.StatusUnprocessableEntity
	}
	body, err := json.Marshal(problem{status, http.StatusText(status), e.Message})
	if err != nil {
		body = nil // a string that is not UTF-8
	}
	write(w, status, "application/problem+json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Version", apiVersion)
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
}

// login answers 200 if the token gives access to the repository. The client then stores
// the token.
func (h *Handler) login(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := h.Packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", []byte("{}"))
	return nil
}
