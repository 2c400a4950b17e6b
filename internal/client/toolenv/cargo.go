package toolenv

// cargo gets a registry of the repository's name. Its address from the variable
// wins over that of a project's .cargo/config.toml, so the token stays with it.
//
// cargo sends a token as it is, without a scheme, which is how CodeArtifact
// takes it.
func cargo(s *setter) {
	for _, e := range s.endpoints {
		name := "CARGO_REGISTRIES_" + variable(e.Name)
		s.set(name+"_INDEX", "sparse+"+e.Endpoint.String())
		s.set(name+"_CREDENTIAL_PROVIDER", "cargo:token")
		if e.Token.Password == "" {
			s.set(name+"_TOKEN", "none") // cargo publish insists on one
			continue
		}
		s.secret(name+"_TOKEN", e.Token.Password, e)
	}
}
