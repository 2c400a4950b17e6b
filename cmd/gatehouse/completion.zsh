#compdef gatehouse
# zsh completion for gatehouse. In ~/.zshrc, after compinit: source <(gatehouse completion zsh)
_gatehouse() {
	local line
	local -a candidates
	for line in "${(@f)$(command gatehouse __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files) _files ;;
		:folders) _files -/ ;;
		:commands) _command_names -e; _files ;;
		*$'\t'*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		*) candidates+=("${line//:/\\:}") ;;
		esac
	done
	(( $#candidates )) && _describe -V 'gatehouse' candidates
}
compdef _gatehouse gatehouse
