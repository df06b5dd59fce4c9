// Writes the lines of its input to a log that logback rotates, as the configuration that its argument names has it. An
// empty line asks whether all before are written.
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.joran.JoranConfigurator;
import java.io.*;
import java.nio.charset.StandardCharsets;
import org.slf4j.*;

class Logback {
    public static void main(String[] arguments) throws Exception {
        LoggerContext context = (LoggerContext) LoggerFactory.getILoggerFactory();
        context.reset();
        JoranConfigurator configurator = new JoranConfigurator();
        configurator.setContext(context);
        configurator.doConfigure(arguments[0]);
        Logger logger = LoggerFactory.getLogger("access");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            if (line.isEmpty()) System.out.println("written");
            else logger.info(line);
        }
    }
}
