using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;

namespace Continuum.Cli;

/// <summary>`continuum operator train`: the options and their meaning.</summary>
internal static class OperatorTrainCommand
{
    private static readonly string s_epilogue = $"""
        Terms of --loss, each with a weight after a colon where it is not 1:
        {string.Join("\n", LossKind.All.Select(kind => $"  {kind.Name,-12}{kind.About}"))}

        Rules:
          The test samples are those of --test, or the last ones of the data: --split 90% trains on the first 90 %. They are not looked at
          before the training is over. Of the training samples the last 10 % (--validation) decide which parameters are kept.
          --strides 4,2,1 trains at three resolutions: each batch at one that is drawn, or, with --curriculum, one after another. The test
          samples are compared at each of them.
          --history N learns one step of a motion, from N frames to the next; --unroll frames are trained together, after up to
          --pushforward frames without gradients, from frames with --noise.
          The folder out/<name of the data> in the current folder takes the results unless --out names another. Files of an earlier
          training in it are replaced, each whole, when the training is done:
            model.safetensors   the operator, for continuum operator evaluate and predict
            metrics.csv         relative L2 and H1 errors of each test sample
            curve.csv           losses and validation errors over the training
            report.html         all about it on one page, with pictures, which also lie beside it as PNG
          Meanwhile training.safetensors there holds the state of training. Ctrl+C ends a training with exit code 130; the same command
          with --resume goes on from there, as it does after a crash, and starts at the beginning where there is no such file.

        Examples:
          continuum operator train darcy.h5 --epochs 100
          continuum operator train burgers.h5 --test other.h5 --modes 16 --width 64 --loss l2,h1:0.1 --strides 4,2,1
          continuum pde generate navier-stokes --n 200 --grid 64 --input-times 1,2,3,4 --times 5,6,7,8,9,10 --out flow.h5
          continuum operator train flow.h5 --model uno --modes 12,12 --history 4 --unroll 2 --pushforward 1 --noise 0.01 --resume
        """;

    private static readonly Dictionary<string, OperatorKind> s_models = new()
    {
        ["fno"] = OperatorKind.Fno,
        ["tfno"] = OperatorKind.Tfno,
        ["uno"] = OperatorKind.Uno,
        ["deeponet"] = OperatorKind.DeepONet,
    };

    private static readonly Dictionary<string, LossBalancing> s_balances = new()
    {
        ["constant"] = LossBalancing.Constant,
        ["softadapt"] = LossBalancing.SoftAdapt,
        ["relobralo"] = LossBalancing.ReLoBRaLo,
    };

    private static readonly Argument<string> s_data = new("data") { Description = "The samples: a file of operator data, .h5 or .npz" };
    private static readonly Dictionary<string, BoxSymmetries> s_symmetry = new()
    {
        ["none"] = BoxSymmetries.None,
        ["reflections"] = BoxSymmetries.Reflections,
        ["all"] = BoxSymmetries.All,
    };

    private static readonly Option<string?> s_test = Arguments.Text("--test", "A file of test samples, instead of --split", "file");

    private static readonly Option<SampleSplit?> s_split = new("--split")
    {
        Description = "The samples to train on, or their share; the others are the test [default: 90%]",
        HelpName = "n|share%",
        CustomParser = result => Arguments.Read(result, SampleSplit.Parse, "a number of samples or a share above 0% and below 100%, such as 1000 or 90%"),
    };

    private static readonly Option<double?> s_validation = Arguments.Share("--validation", "The share of the training samples that decide which parameters are kept; 0% keeps the last [default: 10%]");
    private static readonly Option<string?> s_model = Arguments.Choice("--model", "fno, tfno (factorised weights), uno or deeponet [default: fno]", s_models.Keys);
    private static readonly Option<int[]?> s_modes = Arguments.Integers("--modes", "Modes kept on all axes, or on each [default: 12]");
    private static readonly Option<int[]?> s_firstModes = Arguments.Integers("--first-modes", "Modes in use at first; the others follow one by one over half of the training");
    private static readonly Option<int?> s_width = Arguments.Integer("--width", "Channels inside [default: 32]");
    private static readonly Option<int?> s_layers = Arguments.Integer("--layers", "Blocks of fno and tfno [default: 4]");
    private static readonly Option<double?> s_padding = Arguments.Number("--padding", "On axes without conditions kernels have a period of (1 + this) lengths [default: 0.25]", "x", positive: true);
    private static readonly Option<int?> s_epochs = Arguments.Integer("--epochs", "Passes over the samples [default: 100]");
    private static readonly Option<int?> s_batch = Arguments.Integer("--batch", "Samples in a batch [default: 20]");
    private static readonly Option<double?> s_rate = Arguments.Number("--rate", "The largest step of the optimiser [default: 0.001]", "x", positive: true);
    private static readonly Option<bool> s_float64 = new("--float64") { Description = "Compute with 64 bits instead of 32" };

    private static readonly Option<IReadOnlyList<LossChoice>?> s_loss = new("--loss")
    {
        Description = "What is lowered: terms with weights, such as l2,h1:0.5 [default: l2]",
        HelpName = "term:x,..",
        CustomParser = result => Arguments.Read(result, LossChoice.Parse, $"different terms of {string.Join(", ", LossKind.All.Select(kind => kind.Name))} with weights above 0, such as l2,h1:0.5"),
    };

    private static readonly Option<string?> s_balance = Arguments.Choice("--balance", "How the weights follow the terms: constant, softadapt or relobralo [default: constant]", s_balances.Keys);
    private static readonly Option<int[]?> s_strides = Arguments.Integers("--strides", "Train on every k-th point, for several k on several resolutions [default: 1]");
    private static readonly Option<bool> s_curriculum = new("--curriculum") { Description = "The strides one after another" };
    private static readonly Option<int?> s_history = Arguments.Integer("--history", "Learn one step of a motion from so many frames");
    private static readonly Option<int?> s_unroll = Arguments.Integer("--unroll", "Motions: frames trained together [default: 1]");
    private static readonly Option<int?> s_pushforward = Arguments.Integer("--pushforward", "Motions: the most frames before them without gradients [default: 0]", least: 0);
    private static readonly Option<double?> s_noise = Arguments.Number("--noise", "Motions: noise on the first frames, as a multiple of their deviation", "x", positive: true);
    private static readonly Option<int?> s_seed = Arguments.Integer("--seed", "Seed of all that is random; the same seed gives the same operator [default: 0]", least: 0);
    private static readonly Option<int?> s_threads = Arguments.Threads("1");
    private static readonly Option<string?> s_symmetries = Arguments.Choice(
        "--symmetries",
        "Symmetries of the equation, to learn from as many more samples: none, reflections or all (also exchanges of axes) [default: none]",
        s_symmetry.Keys
    );
    private static readonly Option<string?> s_device = Arguments.Choice("--device", "Where it is trained: cpu or cuda [default: cpu]", ["cpu", "cuda"]);
    private static readonly Option<string?> s_out = Arguments.Text("--out", "The folder for the results [default: out/<name of the data>]", "folder");
    private static readonly Option<bool> s_resume = new("--resume") { Description = "Go on with a training that was ended early" };
    private static readonly Option<bool> s_noPlot = new("--no-plot") { Description = "Draw no pictures" };
    private static readonly Option<bool> s_quiet = new("--quiet") { Description = "Print nothing but failures" };

    internal static Command Create()
    {
        Command command = new("train", "Learns an operator from samples and compares it with others.")
        {
            s_data, s_test, s_split, s_validation, s_model, s_modes, s_firstModes, s_width, s_layers, s_padding, s_epochs, s_batch, s_rate, s_float64, s_loss, s_balance, s_strides,
            s_curriculum, s_history, s_unroll, s_pushforward, s_noise, s_seed, s_threads, s_symmetries, s_device, s_out, s_resume, s_noPlot, s_quiet,
        };
        command.SetAction(parsed => OperatorTrainRun.Run(Read(parsed)));
        Help.Extend(command, s_epilogue);
        return command;
    }

    private static OperatorArguments Read(ParseResult parsed)
    {
        string model = parsed.GetValue(s_model) ?? "fno";
        Refuse(parsed, parsed.GetValue(s_test) is not null, "with --test", s_split);
        Refuse(parsed, parsed.GetValue(s_history) is null, "without --history", s_unroll, s_pushforward, s_noise);
        Refuse(parsed, parsed.GetValue(s_strides) is not { Length: > 1 }, "without several --strides", s_curriculum);
        Refuse(parsed, model == "deeponet", "for the model deeponet", s_modes, s_firstModes, s_layers, s_padding);
        Refuse(parsed, model == "uno", "for the model uno", s_firstModes, s_layers);
        return new()
        {
            Data = parsed.GetValue(s_data)!,
            Test = parsed.GetValue(s_test),
            Split = parsed.GetValue(s_split) ?? SampleSplit.Default,
            Validation = parsed.GetValue(s_validation) ?? 0.1,
            Losses = parsed.GetValue(s_loss) is { Count: > 0 } losses ? losses : LossChoice.Parse("l2")!,
            Options = Options(parsed, s_models[model]),
            Model = model,
            Out = parsed.GetValue(s_out),
            Resume = parsed.GetValue(s_resume),
            Plot = !parsed.GetValue(s_noPlot),
            Quiet = parsed.GetValue(s_quiet),
        };
    }

    private static OperatorOptions Options(ParseResult parsed, OperatorKind kind)
    {
        OperatorOptions o = new();
        return o with
        {
            Kind = kind,
            Modes = Arguments.Given(parsed, s_modes) ?? o.Modes,
            FirstModes = Arguments.Given(parsed, s_firstModes),
            Width = parsed.GetValue(s_width) ?? o.Width,
            Layers = parsed.GetValue(s_layers) ?? o.Layers,
            Padding = parsed.GetValue(s_padding) ?? o.Padding,
            Epochs = parsed.GetValue(s_epochs) ?? o.Epochs,
            BatchSize = parsed.GetValue(s_batch) ?? o.BatchSize,
            LearningRate = parsed.GetValue(s_rate) ?? o.LearningRate,
            DoublePrecision = parsed.GetValue(s_float64),
            Balancing = s_balances[parsed.GetValue(s_balance) ?? "constant"],
            Strides = Arguments.Given(parsed, s_strides) ?? o.Strides,
            Resolutions = parsed.GetValue(s_curriculum) ? ResolutionUse.Curriculum : ResolutionUse.Mixed,
            History = parsed.GetValue(s_history) ?? 0,
            Unroll = parsed.GetValue(s_unroll) ?? o.Unroll,
            Pushforward = parsed.GetValue(s_pushforward) ?? o.Pushforward,
            Noise = parsed.GetValue(s_noise) ?? o.Noise,
            Seed = parsed.GetValue(s_seed) ?? 0,
            Threads = parsed.GetValue(s_threads) ?? 1,
            Symmetries = s_symmetry[parsed.GetValue(s_symmetries) ?? "none"],
            Device = parsed.GetValue(s_device) ?? o.Device,
        };
    }

    private static void Refuse(ParseResult parsed, bool foreign, string where, params Option[] options)
    {
        if (foreign && options.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } given)
        {
            throw new UsageException($"{given.Name} means nothing {where}; see continuum operator train --help");
        }
    }
}
