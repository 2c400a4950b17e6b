package toolenv

// cargo gets a registry with the repository's name. Its address in the variable
// overrides the one in a project's .cargo/config.toml, so the token goes to this
// address only.
//
// cargo sends a token without a scheme, as CodeArtifact expects it.
func cargo(s *setter) {
	for _, e := range s.endpoints {
		name := "CARGO_REGISTRIES_" + variable(e.Name)
		s.set(name+"_INDEX", "sparse+"+e.Endpoint.String())
		s.set(name+"_CREDENTIAL_PROVIDER", "cargo:token")
		if e.Token.Password == "" {
			s.set(name+"_TOKEN", "none") // cargo publish requires one
			continue
		}
		s.secret(name+"_TOKEN", e.Token.Password, e)
	}
}
