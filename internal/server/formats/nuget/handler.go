package nuget

import (
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// A Handler serves NuGet's clients. It implements [formats.Protocol].
type Handler struct{ formats.Base[route] }

// New returns a handler.
func New(c formats.ProtocolConfig) *Handler {
	h := &Handler{formats.NewBase[route](packages.NuGet, c)}
	h.Table = h.routes()
	return h
}

// LoginTool is dotnet.
func (h *Handler) LoginTool(*http.Request) string { return "dotnet" }

// Authentication is by Basic, which clients send after a 401. A push may have the token
// as its API key instead; then it needs no second request.
func (h *Handler) Authentication() formats.Authentication {
	a := formats.BearerOrBasic()
	a.TokenHeader = apiKey
	return a
}

const apiKey = "X-NuGet-ApiKey"

// WriteError writes the message as plain text, and for a person at a client into
// X-NuGet-Warning. Two answers are part of every restore and get no warning: the 401 to a
// request without credentials, and the 404 of a package that another source has.
func (h *Handler) WriteError(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	expected := status == http.StatusUnauthorized && r.Header.Get("Authorization") == "" && r.Header.Get(apiKey) == "" ||
		status == http.StatusNotFound && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	if !expected {
		w.Header().Set("X-NuGet-Warning", formats.HeaderLine(e.Message))
	}
	formats.WriteText(w, r, status, e.Message+"\n")
}

// notServed answers clients of version 2, such as `nuget list`.
func notServed(_ http.ResponseWriter, r *formats.Request, _ route) error {
	return fault.New(fault.Invalid, "Version2NotServed",
		"This repository serves version 3 of NuGet's API, and your client asks for version 2. Set the address of the source to %sv3/index.json and use NuGet 4.8 or newer. `nuget list` needs version 2: use `nuget search` or `dotnet package search`.", r.Base)
}

func packageID(id string) packages.PackageID {
	return packages.PackageID{Format: packages.NuGet, Name: strings.ToLower(id)}
}
