package toolenv

// nuget gets the password for the source that nuget.config names like the
// repository.
func nuget(s *setter) {
	for _, e := range s.endpoints {
		s.secret("NuGetPackageSourceCredentials_"+e.Name,
			"Username="+e.Token.Username+";Password="+e.Token.Password+";ValidAuthenticationTypes=Basic", e)
	}
}
