//go:build tools

// Package gotty pins the web terminal that the tests of `tunl terminal` run.
package gotty

import _ "github.com/sorenisanerd/gotty"
