# fish completion for gatehouse. In config.fish: gatehouse completion fish | source
function __gatehouse_complete
	set -l words (commandline -opc) (commandline -ct)
	for line in (command gatehouse __complete -- $words[2..-1] 2>/dev/null)
		switch $line
			case :files
				__fish_complete_path (commandline -ct)
			case :folders
				__fish_complete_directories (commandline -ct)
			case :commands
				__fish_complete_command
			case '*'
				printf '%s\n' $line
		end
	end
end
complete -c gatehouse -f -a '(__gatehouse_complete)'
