// Writes the lines of its input to a log that log4j rotates. An empty line asks whether all before are written.
import java.io.*;
import java.nio.charset.StandardCharsets;
import org.apache.logging.log4j.*;

class Log4j {
    public static void main(String[] arguments) throws Exception {
        Logger logger = LogManager.getLogger("access");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            if (line.isEmpty()) System.out.println("written");
            else logger.info(line);
        }
    }
}
