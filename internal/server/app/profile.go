package app

import (
	"fmt"
	"os"
	"strings"
)

// A Profile is a profile of the AWS tools: an account's admin, or a declared access
// key.
type Profile struct {
	Name            string
	AccessKeyID     string
	SecretAccessKey string
}

// ProfileName is the profile of the first account.
const ProfileName = "gatehouse"

// profileName is "gatehouse" for the first account, and "gatehouse-<account>"
// for the others.
func profileName(first, account string) string {
	if account == first {
		return ProfileName
	}
	return ProfileName + "-" + account
}

// writeProfiles writes aws/config and aws/credentials. The server writes both files
// at each start, because its address can have changed.
func writeProfiles(data *dataDir, url, region, caBundle string, profiles []Profile) error {
	var config, credentials strings.Builder
	for _, p := range profiles {
		fmt.Fprintf(&config, "[profile %s]\nregion = %s\nendpoint_url = %s\n", p.Name, region, url)
		if caBundle != "" {
			fmt.Fprintf(&config, "ca_bundle = %s\n", caBundle)
		}
		config.WriteString("\n")
		fmt.Fprintf(&credentials, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n\n", p.Name, p.AccessKeyID, p.SecretAccessKey)
	}
	if err := data.root.MkdirAll("aws", 0o700); err != nil {
		return fmt.Errorf("AWS profile: %w", err)
	}
	if err := data.replace("aws/config", []byte(config.String())); err != nil {
		return err
	}
	return data.replace("aws/credentials", []byte(credentials.String()))
}

// Environment returns the variables, as NAME=value, that make AWS tools use the
// server with the data folder. It fails if no server has written its profiles there
// yet.
func Environment(dataFolder string) ([]string, error) {
	root, err := os.OpenRoot(dataFolder)
	if err != nil {
		return nil, fmt.Errorf("there is no data folder at %s: start the server with gatehouse serve, or name its folder with --data", dataFolder)
	}
	defer root.Close()
	data := &dataDir{path: root.Name(), root: root}
	var env []string
	for _, v := range []struct{ name, file string }{{"AWS_CONFIG_FILE", "aws/config"}, {"AWS_SHARED_CREDENTIALS_FILE", "aws/credentials"}} {
		if _, err := root.Stat(v.file); err != nil {
			return nil, fmt.Errorf("there is no AWS profile in %s: start the server with gatehouse serve", dataFolder)
		}
		path, err := absolute(data.file(v.file))
		if err != nil {
			return nil, err
		}
		env = append(env, v.name+"="+path)
	}
	return append(env, "AWS_PROFILE="+ProfileName), nil
}
