package childenv
func docker(s *setter) {}
