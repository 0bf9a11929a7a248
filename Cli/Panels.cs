using System;
using System.Collections.Generic;
using System.IO;
using ScottPlot;
using SkiaSharp;

namespace Continuum.Cli;

/// <summary>Several plots in one picture, in one column or two.</summary>
internal static class Panels
{
    private const int Width = 1100;
    private const int LeastHeight = 600;
    private const int PanelHeight = 300;
    private const int MostInAColumn = 4;

    /// <summary>The picture as SVG or PNG.</summary>
    internal static byte[] Draw(IReadOnlyList<Plot> plots, bool svg)
    {
        int columns = plots.Count > MostInAColumn ? 2 : 1;
        int rows = (plots.Count + columns - 1) / columns;
        int height = Math.Max(LeastHeight, rows * PanelHeight);
        return svg ? Svg(canvas => Render(plots, canvas, columns, rows, height), height) : Png(canvas => Render(plots, canvas, columns, rows, height), height);
    }

    private static void Render(IReadOnlyList<Plot> plots, SKCanvas canvas, int columns, int rows, int height)
    {
        float width = (float)Width / columns;
        float tall = (float)height / rows;
        for (int k = 0; k < plots.Count; k++)
        {
            float left = k % columns * width;
            float top = k / columns * tall;
            // Else each panel wipes out those before it.
            plots[k].RenderManager.ClearCanvasBeforeEachRender = false;
            plots[k].Render(canvas, new PixelRect(left, left + width, top + tall, top));
        }
    }

    private static byte[] Png(Action<SKCanvas> render, int height)
    {
        using SKSurface surface = SKSurface.Create(new SKImageInfo(Width, height));
        surface.Canvas.Clear(SKColors.White);
        render(surface.Canvas);
        using SKImage image = surface.Snapshot();
        using SKData data = image.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    private static byte[] Svg(Action<SKCanvas> render, int height)
    {
        using MemoryStream stream = new();
        using (SKCanvas canvas = SKSvgCanvas.Create(SKRect.Create(Width, height), stream))
        {
            render(canvas);
        }

        return stream.ToArray();
    }
}
