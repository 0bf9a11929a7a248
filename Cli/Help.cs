using System;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Linq;

namespace Continuum.Cli;

/// <summary>The generated help of a command, then examples and what the exit codes mean.</summary>
internal sealed class Help : SynchronousCommandLineAction
{
    private readonly HelpAction _generated;
    private readonly Func<ParseResult, string> _epilogue;

    private Help(HelpAction generated, Func<ParseResult, string> epilogue)
    {
        _generated = generated;
        _epilogue = epilogue;
    }

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        _generated.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.WriteLine(_epilogue(parseResult).ReplaceLineEndings(Environment.NewLine));
        return ExitCode.Success;
    }

    /// <summary>Gives a command its own help, with an epilogue.</summary>
    internal static void Extend(Command command, string epilogue) => Extend(command, _ => epilogue);

    /// <summary>Gives a command its own help, with an epilogue that depends on what else was asked.</summary>
    internal static void Extend(Command command, Func<ParseResult, string> epilogue)
    {
        HelpOption option = command.Options.OfType<HelpOption>().FirstOrDefault() ?? new HelpOption { Recursive = false };
        if (!command.Options.Contains(option))
        {
            command.Options.Add(option);
        }

        option.Action = new Help((HelpAction)option.Action!, epilogue);
    }
}
