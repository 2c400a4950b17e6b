package toolenv

// nuget gets the password of a source that nuget.config calls by the
// repository's name.
func nuget(s *setter) {
	for _, e := range s.endpoints {
		s.secret("NuGetPackageSourceCredentials_"+e.Name,
			"Username="+e.Token.Username+";Password="+e.Token.Password+";ValidAuthenticationTypes=Basic", e)
	}
}
