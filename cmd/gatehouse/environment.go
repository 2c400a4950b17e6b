package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/gatehouse-registry/gatehouse/internal/client/login"
)

// userEnvironment describes the machine of the person who runs the command.
func userEnvironment() (login.Environment, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return login.Environment{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return login.Environment{}, err
	}
	program, err := program()
	if err != nil {
		return login.Environment{}, err
	}
	return login.Environment{Home: home, Dir: dir, GOOS: runtime.GOOS, Getenv: os.Getenv, Program: program}, nil
}

// program is the path by which configurations start this program: its name on
// PATH if that leads here, since an upgrade may replace the file behind it.
func program() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", err
	}
	named, err := exec.LookPath(filepath.Base(file))
	if err != nil || !filepath.IsAbs(named) {
		return file, nil
	}
	a, errA := os.Stat(file)
	b, errB := os.Stat(named)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return file, nil
	}
	return named, nil
}
